{# Hours are partitioned by their month in UTC, as bronze and its loads are. #}
select
  trip_month, location, time_utc, local_time, utc_offset_hours,
  temperature_2m as temperature_celsius,
  precipitation as precipitation_mm,
  rain as rain_mm,
  snowfall as snowfall_cm,
  wind_speed_10m as wind_speed_kmh,
  weather_code,
  load_id, fetched_at
from ({{ latest_hours(ref('bronze_weather'), in_months(month_of('b.time_utc'))) }}) as t
