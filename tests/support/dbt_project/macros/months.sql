{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (custom_schema_name or target.schema) ~ (var('suffix') if node.resource_type == 'model' else '') }}
{%- endmacro %}

{% macro in_months() -%}
  {%- if var('months') is none -%} true
  {%- else -%} trip_month in ({% for month in var('months') %}date '{{ month }}'{{ ', ' if not loop.last }}{% endfor %})
  {%- endif -%}
{%- endmacro %}
