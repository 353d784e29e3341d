select
  service,
  trip_month,
  pickup_datetime,
  dropoff_datetime,
  {{ date_of('pickup_datetime') }} as pickup_date,
  {{ kept('duration_seconds', seconds('pickup_datetime', 'dropoff_datetime') ~ ' + ' ~ clock_change('pickup_datetime', 'dropoff_datetime')) }} as duration_seconds,
  {{ seconds('request_datetime', 'pickup_datetime') }} as wait_seconds,
  pickup_zone_id,
  dropoff_zone_id,
  {{ kept('distance_miles') }} as distance_miles,
  {{ kept('passenger_count') }} as passenger_count,
  vendor_id,
  {{ decoded('vendor_id') }} as vendor,
  rate_code_id,
  {{ decoded('rate_code_id') }} as rate_code,
  payment_type_id,
  {{ decoded('payment_type_id') }} as payment_type,
  trip_type_id,
  {{ decoded('trip_type_id') }} as trip_type,
  company_license,
  {{ decoded('company_license') }} as company,
  base_number,
  store_and_forward_flag,
  {% for column in amount_columns() -%}
  {{ money(column) }} as {{ column }},
  {% endfor -%}
  {% for rule in rules('flag') -%}
  {{ rule.name }}{{ ',' if not loop.last }}
  {% endfor -%}
from {{ ref('checked_trips') }} as t
where not is_rejected
