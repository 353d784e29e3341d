{# Hours are partitioned by their month in UTC, as bronze and its loads are. #}
select
  trip_month, location, time_utc, local_time, utc_offset_hours,
  pm2_5, pm10, ozone, nitrogen_dioxide, sulphur_dioxide, carbon_monoxide,
  us_aqi,
  {{ epa_category('us_aqi') }} as epa_category,
  us_aqi_pm2_5, us_aqi_pm10, us_aqi_ozone, us_aqi_nitrogen_dioxide, us_aqi_sulphur_dioxide,
  us_aqi_carbon_monoxide,
  load_id, fetched_at
from ({{ latest_hours(ref('bronze_air_quality'), in_months(month_of('b.time_utc'))) }}) as t
