{# Built before the models that read bronze: a month that is loaded meanwhile is then stale.
   Evenings in New York are in the next day of UTC, so a month also reads the first hours of the next
   month of an hourly table. #}
{%- set month_before = month_of(add_days(midnight('trip_month'), -1)) -%}
select trip_month, table_name, source_month, load_id, {{ text("'" ~ var('definition') ~ "'") }} as definition
from (
  select trip_month, table_name, trip_month as source_month, load_id
  from {{ ref('bronze_loads') }} as l
  union all
  select {{ month_before }} as trip_month, table_name, trip_month as source_month, load_id
  from {{ ref('bronze_loads') }} as l
  where table_name in ('air_quality_hourly', 'weather_hourly')
) as t
where {{ in_months() }}
