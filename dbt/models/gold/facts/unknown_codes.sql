{# Codes of all rows, rejected ones included, that the data dictionary of their time does not declare. #}
{%- set columns = codes().keys() | list -%}
with combinations as (
  select service, trip_month, {{ columns | join(', ') }}, sum(n) as n
  from (
    {% for model in ['trips', 'trips_rejected'] -%}
    select service, trip_month, {{ columns | join(', ') }}, count(*) as n
    from {{ ref(model) }}
    where {{ in_months() }}
    group by service, trip_month, {{ columns | join(', ') }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
  ) as t
  group by service, trip_month, {{ columns | join(', ') }}
)
{% for column in columns -%}
select
  trip_month, service, {{ text("'" ~ column ~ "'") }} as column_name, {{ text(column) }} as code,
  {{ total('n') }} as trips
from combinations
where {{ column }} is not null and not ({{ declared_in_month(column, 'trip_month') }})
group by trip_month, service, {{ column }}
{{ 'union all' if not loop.last }}
{% endfor %}
