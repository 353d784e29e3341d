select
  trip_month,
  service,
  {{ hour_of('pickup_datetime') }} as pickup_hour,
  {{ date_of('pickup_datetime') }} as pickup_date,
  count(*) as trips,
  {{ count_if('is_void') }} as voids,
  {{ total('passenger_count') }} as passengers,
  {{ total('duration_seconds') }} as duration_seconds,
  {{ sum_miles('distance_miles') }} as distance_miles,
  {{ sum_decimal('fare_amount') }} as fare_amount,
  {{ sum_decimal('tip_amount') }} as tip_amount,
  {{ sum_decimal('tolls_amount') }} as tolls_amount,
  {{ sum_decimal('total_amount') }} as total_amount
from {{ ref('trips') }}
where {{ in_months() }}
group by trip_month, service, {{ hour_of('pickup_datetime') }}, {{ date_of('pickup_datetime') }}
