{# Returns the months whose rows do not add up. A month that was loaded since the build began has other
   rows now: it is stale, and gold does not publish it. #}
with bronze as (
  {% for service in ['yellow', 'green', 'fhv', 'fhvhv'] -%}
  select {{ text("'" ~ service ~ "'") }} as service, trip_month, count(*) as n
  from {{ ref('bronze_' ~ service) }} as t group by trip_month
  {{ 'union all' if not loop.last }}
  {% endfor -%}
),
silver as (
  select service, trip_month, sum(n) as n
  from (
    select service, trip_month, count(*) as n from {{ ref('trips') }} group by service, trip_month
    union all
    select service, trip_month, count(*) as n from {{ ref('trips_rejected') }} group by service, trip_month
  ) as t
  group by service, trip_month
),
loaded as (
  select l.table_name, l.trip_month
  from {{ ref('bronze_loads') }} as l
  left join {{ ref('month_builds') }} as b
    on b.table_name = l.table_name and b.source_month = l.trip_month and b.trip_month = l.trip_month
  where b.load_id is null or b.load_id <> l.load_id
)
select d.*
from (
  select coalesce(b.service, s.service) as service, coalesce(b.trip_month, s.trip_month) as trip_month,
    b.n as bronze_rows, s.n as silver_rows
  from bronze as b
  full join silver as s on s.service = b.service and s.trip_month = b.trip_month
) as d
left join loaded as l on l.table_name = d.service || '_rides' and l.trip_month = d.trip_month
where coalesce(d.bronze_rows, 0) <> coalesce(d.silver_rows, 0) and l.table_name is null
