select
  trip_month,
  service,
  {{ hour_of('pickup_datetime') }} as pickup_hour,
  {{ date_of('pickup_datetime') }} as pickup_date,
  coalesce(pickup_zone_id, 264) as pickup_zone_id,
  count(*) as trips,
  {{ sum_decimal('total_amount') }} as total_amount
from {{ ref('trips') }}
where {{ in_months() }}
group by
  trip_month, service, {{ hour_of('pickup_datetime') }}, {{ date_of('pickup_datetime') }},
  coalesce(pickup_zone_id, 264)
