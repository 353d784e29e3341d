{# The column has only these values. #}
{% test one_of(model, column, values) %}
select distinct {{ column }}
from {{ model }}
where {{ column }} not in ({% for value in values %}{{ literal(value) }}{{ ', ' if not loop.last }}{% endfor %})
{% endtest %}
