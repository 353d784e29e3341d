select
  trip_month,
  service,
  {{ code_key('payment_type_id') }} as payment_type_id,
  {{ code_key('rate_code_id') }} as rate_code_id,
  {{ code_key('vendor_id') }} as vendor_id,
  count(*) as trips,
  {{ count_if('is_void') }} as voids,
  {{ sum_decimal('fare_amount') }} as fare_amount,
  {{ sum_decimal('tip_amount') }} as tip_amount,
  {{ sum_decimal('total_amount') }} as total_amount
from {{ ref('trips') }}
where {{ in_months() }}
group by
  trip_month, service, {{ code_key('payment_type_id') }}, {{ code_key('rate_code_id') }},
  {{ code_key('vendor_id') }}
