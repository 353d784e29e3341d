select
  trip_month,
  service,
  coalesce(pickup_zone_id, 264) as pickup_zone_id,
  coalesce(dropoff_zone_id, 264) as dropoff_zone_id,
  count(*) as trips,
  {{ total('duration_seconds') }} as duration_seconds,
  {{ sum_miles('distance_miles') }} as distance_miles,
  {{ sum_decimal('total_amount') }} as total_amount
from {{ ref('trips') }}
where {{ in_months() }}
group by trip_month, service, coalesce(pickup_zone_id, 264), coalesce(dropoff_zone_id, 264)
