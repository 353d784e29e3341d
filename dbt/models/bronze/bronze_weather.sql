{%- do ref('month_builds') -%}
{{ read_bronze('weather_hourly', dict(
  location=['location', 'text'], time_utc=['time_utc', 'moment'],
  temperature_2m=['temperature_2m', 'real'], precipitation=['precipitation', 'real'], rain=['rain', 'real'],
  snowfall=['snowfall', 'real'], wind_speed_10m=['wind_speed_10m', 'real'],
  weather_code=['weather_code', 'whole'],
  load_id=['load_id', 'text'], fetched_at=['fetched_at', 'moment']), ['location', 'time_utc']) }}
