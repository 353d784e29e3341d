{%- do ref('month_builds') -%}
{{ read_bronze('air_quality_hourly', dict(
  location=['location', 'text'], time_utc=['time_utc', 'moment'],
  pm2_5=['pm2_5', 'real'], pm10=['pm10', 'real'], ozone=['ozone', 'real'],
  nitrogen_dioxide=['nitrogen_dioxide', 'real'], sulphur_dioxide=['sulphur_dioxide', 'real'],
  carbon_monoxide=['carbon_monoxide', 'real'],
  us_aqi=['us_aqi', 'real'], us_aqi_pm2_5=['us_aqi_pm2_5', 'real'], us_aqi_pm10=['us_aqi_pm10', 'real'],
  us_aqi_ozone=['us_aqi_ozone', 'real'], us_aqi_nitrogen_dioxide=['us_aqi_nitrogen_dioxide', 'real'],
  us_aqi_sulphur_dioxide=['us_aqi_sulphur_dioxide', 'real'],
  us_aqi_carbon_monoxide=['us_aqi_carbon_monoxide', 'real'],
  load_id=['load_id', 'text'], fetched_at=['fetched_at', 'moment']), ['location', 'time_utc']) }}
