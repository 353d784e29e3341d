with rejected as (
  select service, trip_month, count(*) as rejected_rows
  from {{ ref('trips_rejected') }}
  where {{ in_months() }}
  group by service, trip_month
),
silver as (
  select
    service, trip_month, count(*) as silver_rows,
    min(pickup_datetime) as first_pickup, max(pickup_datetime) as last_pickup,
    {% for rule in rules('flag') -%}
    {{ count_if(rule.name) }} as {{ rule.name }}_rows,
    {% endfor -%}
    {{ sum_decimal('total_amount') }} as total_amount
  from {{ ref('trips') }}
  where {{ in_months() }}
  group by service, trip_month
)
select
  coalesce(s.trip_month, r.trip_month) as trip_month,
  coalesce(s.service, r.service) as service,
  coalesce(s.silver_rows, 0) + coalesce(r.rejected_rows, 0) as bronze_rows,
  coalesce(s.silver_rows, 0) as silver_rows,
  coalesce(r.rejected_rows, 0) as rejected_rows,
  {{ real('coalesce(r.rejected_rows, 0)') }} / (coalesce(s.silver_rows, 0) + coalesce(r.rejected_rows, 0)) as rejected_fraction,
  {% for rule in rules('flag') -%}
  coalesce(s.{{ rule.name }}_rows, 0) as {{ rule.name }}_rows,
  {% endfor -%}
  s.first_pickup,
  s.last_pickup,
  s.total_amount
from silver as s
full join rejected as r on r.service = s.service and r.trip_month = s.trip_month
