{# Inputs of unit tests. #}

{% macro example_hours(times, measures, values={}, fetched=none) -%}
  {% for time in times -%}
  select {{ text("'manhattan'") }} as location, {{ moment(sql_literal(time)) }} as time_utc,
    {% for name in measures %}{{ whole('null') if name == 'weather_code' else real(sql_literal(values.get(name))) }} as {{ name }}, {% endfor %}
    {{ text("'load'") }} as load_id, {{ moment(sql_literal(fetched or time)) }} as fetched_at
  {{ 'union all' if not loop.last }}
  {% endfor -%}
{%- endmacro %}

{# Hours of air quality: [time, us_aqi, time of the fetch]. #}
{% macro example_air(hours) -%}
  {%- set measures = ['pm2_5', 'pm10', 'ozone', 'nitrogen_dioxide', 'sulphur_dioxide', 'carbon_monoxide', 'us_aqi', 'us_aqi_pm2_5', 'us_aqi_pm10', 'us_aqi_ozone', 'us_aqi_nitrogen_dioxide', 'us_aqi_sulphur_dioxide', 'us_aqi_carbon_monoxide'] -%}
  {% for hour in hours -%}
  {{ example_hours([hour[0]], measures, {'us_aqi': hour[1]}, hour[2] if hour | length > 2 else none) }}
  {{ 'union all' if not loop.last }}
  {% endfor -%}
{%- endmacro %}
