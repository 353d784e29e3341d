{# Trips of a borough with its own air and weather; trips of an unknown borough with the city's.
   The hours of another month may be loaded later, and would not make this month stale. #}
{%- set hours = in_months(month_of(new_york('b.time_utc'))) -%}
with trips as (
  select
    t.trip_month, t.service, t.pickup_date, z.location,
    count(*) as trips, {{ sum_decimal('t.total_amount') }} as total_amount
  from {{ ref('trips') }} as t
  join {{ ref('dim_zone') }} as z on z.zone_id = coalesce(t.pickup_zone_id, 264)
  where {{ in_months('t.trip_month') }}
  group by t.trip_month, t.service, t.pickup_date, z.location
),
air as ({{ by_day(ref('bronze_air_quality'), hours, air_measures()) }}),
weather as ({{ by_day(ref('bronze_weather'), hours, weather_measures()) }})
select
  t.trip_month, t.pickup_date, t.service, t.location, t.trips, t.total_amount,
  {% for name in air_measures() %}a.{{ name }}, {% endfor %}
  {{ epa_category('a.us_aqi_max') }} as epa_category,
  {% for name in weather_measures() %}w.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
from trips as t
left join air as a on a.location = t.location and a.date_day = t.pickup_date and {{ month_of('a.date_day') }} = t.trip_month
left join weather as w on w.location = t.location and w.date_day = t.pickup_date and {{ month_of('w.date_day') }} = t.trip_month
