{# Every trip of every service, with its flags and whether a rule rejects it. #}
select t.*,
  {% for rule in rules('flag') -%}
  {{ matches(rule) }} as {{ rule.name }},
  {% endfor -%}
  {% for rule in rules('reject') -%}
  {{ matches(rule) }} {{ 'or' if not loop.last }}
  {% endfor -%}
  as is_rejected
from (
  {% for service in ['yellow', 'green', 'fhv', 'fhvhv'] -%}
  select * from {{ ref('bronze_' ~ service) }} {{ 'union all' if not loop.last }}
  {% endfor -%}
) as t
