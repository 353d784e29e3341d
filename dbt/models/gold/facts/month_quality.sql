with bronze as (
  select service, trip_month, count(*) as bronze_rows
  from {{ ref('checked_trips') }} as t
  group by service, trip_month
),
rejected as (
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
  b.trip_month,
  b.service,
  b.bronze_rows,
  coalesce(s.silver_rows, 0) as silver_rows,
  coalesce(r.rejected_rows, 0) as rejected_rows,
  {{ real('coalesce(r.rejected_rows, 0)') }} / b.bronze_rows as rejected_fraction,
  {% for rule in rules('flag') -%}
  coalesce(s.{{ rule.name }}_rows, 0) as {{ rule.name }}_rows,
  {% endfor -%}
  s.first_pickup,
  s.last_pickup,
  s.total_amount
from bronze as b
left join silver as s on s.service = b.service and s.trip_month = b.trip_month
left join rejected as r on r.service = b.service and r.trip_month = b.trip_month
