{# Returns the months whose rows do not add up. #}
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
)
select coalesce(b.service, s.service) as service, coalesce(b.trip_month, s.trip_month) as trip_month,
  b.n as bronze_rows, s.n as silver_rows
from bronze as b
full join silver as s on s.service = b.service and s.trip_month = b.trip_month
where coalesce(b.n, 0) <> coalesce(s.n, 0)
