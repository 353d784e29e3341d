select
  trip_month,
  pickup_date,
  {{ text("coalesce(company, 'Undeclared')") }} as company,
  count(*) as trips,
  {{ count_if('is_shared') }} as shared_trips,
  count(wait_seconds) as waits,
  {{ total('wait_seconds') }} as wait_seconds,
  {{ total('duration_seconds') }} as duration_seconds,
  {{ sum_miles('distance_miles') }} as distance_miles,
  {{ sum_decimal('fare_amount') }} as fare_amount,
  {{ sum_decimal('tip_amount') }} as tip_amount,
  {{ sum_decimal('driver_pay') }} as driver_pay,
  {{ sum_decimal('total_amount') }} as total_amount
from {{ ref('trips') }}
where service = 'fhvhv' and {{ in_months() }}
group by trip_month, pickup_date, {{ text("coalesce(company, 'Undeclared')") }}
