{# Every rule for every month and service, also those that no row matches. #}
with counted as (
  select
    service, trip_month,
    {% for rule in rules() -%}
    sum({{ rule.name }}) as {{ rule.name }},
    sum({{ rule.name }}_first) as {{ rule.name }}_first{{ ',' if not loop.last }}
    {% endfor -%}
  from (
    select
      service, trip_month,
      {% for rule in rules() -%}
      {{ count_if(rule.name) if rule.action == 'flag' else '0' }} as {{ rule.name }},
      0 as {{ rule.name }}_first{{ ',' if not loop.last }}
      {% endfor -%}
    from {{ ref('trips') }}
    where {{ in_months() }}
    group by service, trip_month
    union all
    select
      service, trip_month,
      {% for rule in rules() -%}
      {{ count_if(rule.name if rule.action == 'flag' else contains('reasons', rule.name)) }} as {{ rule.name }},
      {{ count_if("first_reason = '" ~ rule.name ~ "'") }} as {{ rule.name }}_first{{ ',' if not loop.last }}
      {% endfor -%}
    from {{ ref('trips_rejected') }}
    where {{ in_months() }}
    group by service, trip_month
  ) as both_tables
  group by service, trip_month
)
{% for rule in rules() -%}
select
  trip_month, service, {{ text("'" ~ rule.name ~ "'") }} as rule, {{ text("'" ~ rule.action ~ "'") }} as action,
  {{ whole(rule.name) }} as matching_rows, {{ whole(rule.name ~ '_first') }} as first_reason_rows
from counted
{{ 'union all' if not loop.last }}
{% endfor %}
