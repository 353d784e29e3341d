{# Hourly rows with New York wall-clock times; the last fetched of several rows for one hour. #}
{% macro latest_hours(relation, where) -%}
  select h.*, {{ month_of('h.time_utc') }} as trip_month, {{ new_york('h.time_utc') }} as local_time,
    {{ whole(seconds('h.time_utc', new_york('h.time_utc')) ~ ' / 3600') }} as utc_offset_hours
  from (
    select b.*, row_number() over (partition by location, time_utc order by fetched_at desc, load_id desc) as revision
    from {{ relation }} as b
    where {{ where }}
  ) as h
  where revision = 1
{%- endmacro %}

{# Category of the US air quality index. Source: 40 CFR Part 58, Appendix G, table 1; the index is a
   whole number. #}
{% macro epa_category(aqi) -%}
  case
    when {{ aqi }} is null then null
    when floor({{ aqi }} + 0.5) <= 50 then 'Good'
    when floor({{ aqi }} + 0.5) <= 100 then 'Moderate'
    when floor({{ aqi }} + 0.5) <= 150 then 'Unhealthy for Sensitive Groups'
    when floor({{ aqi }} + 0.5) <= 200 then 'Unhealthy'
    when floor({{ aqi }} + 0.5) <= 300 then 'Very Unhealthy'
    else 'Hazardous'
  end
{%- endmacro %}

{# Measures of a New York day: of each location, and of the city (location `unknown`), which is the
   mean of the boroughs' hours. #}
{% macro by_day(relation, where, measures) -%}
  {%- for grouping in ['location', text("'unknown'")] %}
  select
    {{ grouping }} as location, {{ date_of('local_time') }} as date_day,
    {% for name, sql in measures.items() -%}
    {{ sql }} as {{ name }}{{ ',' if not loop.last }}
    {% endfor -%}
  from ({{ latest_hours(relation, where) }}) as t
  {% if grouping != 'location' %}where location <> 'newark_airport'{% endif %}
  group by {{ date_of('local_time') }}{{ ', location' if grouping == 'location' }}
  {{ 'union all' if not loop.last }}
  {%- endfor %}
{%- endmacro %}

{% macro air_measures() -%}
  {{ return({
    'air_hours': 'count(distinct time_utc)',
    'pm2_5_mean': mean('pm2_5'), 'pm10_mean': mean('pm10'), 'ozone_mean': mean('ozone'),
    'nitrogen_dioxide_mean': mean('nitrogen_dioxide'), 'us_aqi_mean': mean('us_aqi'),
    'us_aqi_max': 'max(us_aqi)'}) }}
{%- endmacro %}

{% macro weather_measures() -%}
  {{ return({
    'weather_hours': 'count(distinct time_utc)',
    'temperature_mean_celsius': mean('temperature_2m'), 'temperature_min_celsius': 'min(temperature_2m)',
    'temperature_max_celsius': 'max(temperature_2m)', 'precipitation_mm': daily_sum('precipitation'),
    'rain_mm': daily_sum('rain'), 'snowfall_cm': daily_sum('snowfall'),
    'wind_speed_mean_kmh': mean('wind_speed_10m')}) }}
{%- endmacro %}

{# Sum of an hour's amounts over the day: for the city, the mean of the boroughs' sums. #}
{% macro daily_sum(x) -%}
  floor({{ real('sum(' ~ decimal_6(x) ~ ')') }} * 1000 / count(distinct location) + 0.5) / 1000
{%- endmacro %}
