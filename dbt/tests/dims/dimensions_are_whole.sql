{# A dimension built from a broken generator would be empty, and unique, and without nulls. #}
select 'dim_zone' as dimension, count(*) as n from {{ ref('dim_zone') }} having count(*) <> 265
union all
select 'dim_date', count(*) from {{ ref('dim_date') }} having count(*) <> {{ (modules.datetime.date.fromisoformat(last_date()) - modules.datetime.date.fromisoformat(first_date())).days + 1 }}
{% for name, column in {'dim_payment_type': 'payment_type_id', 'dim_rate_code': 'rate_code_id', 'dim_vendor': 'vendor_id'}.items() -%}
union all
select '{{ name }}', count(*) from {{ ref(name) }} having count(*) <> {{ codes()[column] | length + 2 }}
{% endfor %}
