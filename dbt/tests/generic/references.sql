{# Every value that is not null is a key of its dimension. `keys`: [{column, to, field}]. #}
{% test references(model, keys) %}
{% for key in keys -%}
select '{{ key.column }}' as column_name, {{ text('c.' ~ key.column) }} as value
from (select distinct {{ key.column }} from {{ model }} where {{ key.column }} is not null) as c
left join {{ located(key.to) }} as d on d.{{ key.field }} = c.{{ key.column }}
where d.{{ key.field }} is null
{{ 'union all' if not loop.last }}
{% endfor -%}
{% endtest %}
