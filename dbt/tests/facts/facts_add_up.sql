{# Returns the facts whose trips or dollars of a month differ from silver's. #}
{%- set facts = ['trips_by_hour', 'trips_by_zone_hour', 'trips_by_route', 'trips_by_payment', 'trips_and_air_by_day', 'rideshare_by_company'] -%}
with silver as (
  select service, trip_month, count(*) as trips, {{ sum_decimal('total_amount') }} as total_amount
  from {{ ref('trips') }} where {{ in_months() }} group by service, trip_month
),
facts as (
  {% for fact in facts -%}
  select '{{ fact }}' as fact, {{ "'fhvhv' as service" if fact == 'rideshare_by_company' else 'service' }}, trip_month,
    sum(trips) as trips, sum(total_amount) as total_amount
  from {{ ref(fact) }} where {{ in_months() }} group by trip_month{{ '' if fact == 'rideshare_by_company' else ', service' }}
  {{ 'union all' if not loop.last }}
  {% endfor -%}
),
expected as (
  {% for fact in facts -%}
  select '{{ fact }}' as fact, silver.* from silver {% if fact == 'rideshare_by_company' %}where service = 'fhvhv'{% endif %}
  {{ 'union all' if not loop.last }}
  {% endfor -%}
)
select e.*, f.trips as fact_trips, f.total_amount as fact_total
from expected as e
left join facts as f on f.fact = e.fact and f.service = e.service and f.trip_month = e.trip_month
where f.trips is null or f.trips <> e.trips
  or coalesce(f.total_amount, 0) <> coalesce(e.total_amount, 0)
