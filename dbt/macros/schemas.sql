{# Write-audit-publish: silver.trips is built and tested as silver.trips_next; publish.sql renames it. #}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or target.schema }}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
  {{ (custom_alias_name or node.name) ~ (var('suffix') if node.resource_type == 'model' and part(node) in ('silver', 'dims', 'facts') else '') }}
{%- endmacro %}

{# silver, dims or facts: the folder of a model #}
{% macro part(node) -%} {{ return(node.fqn[-2]) }} {%- endmacro %}

{# A model of a part that this run does not build is read where it was published. #}
{% macro ref() -%}
  {{ return(located(builtins.ref(*varargs, **kwargs))) }}
{%- endmacro %}

{% macro located(relation) -%}
  {%- if execute and graph.nodes is defined and var('suffix') -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.alias == relation.identifier -%}
      {%- if part(node) in ('silver', 'dims', 'facts') and part(node) not in var('parts') -%}
        {{ return(relation.replace_path(identifier=node.name)) }}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{ return(relation) }}
{%- endmacro %}

{% macro in_months(column='trip_month') -%}
  {%- set months = var('months') -%}
  {%- if months is none -%} true
  {%- elif months is string or not months -%}
    {{ exceptions.raise_compiler_error("months must be null or a list such as ['2021-01-01'], not " ~ months | tojson) }}
  {%- else -%} {{ column }} in ({% for month in months %}{{ day(month) }}{{ ', ' if not loop.last }}{% endfor %})
  {%- endif -%}
{%- endmacro %}
