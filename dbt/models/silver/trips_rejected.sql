select
  service,
  trip_month,
  {{ first_reason() }} as first_reason,
  {{ reasons() }} as reasons,
  {% for column in trip_columns() -%}
  {{ column }},
  {% endfor -%}
  {% for rule in rules('flag') -%}
  {{ rule.name }}{{ ',' if not loop.last }}
  {% endfor -%}
from {{ ref('checked_trips') }} as t
where is_rejected
