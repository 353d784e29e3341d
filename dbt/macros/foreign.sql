{# Tables in silver and gold that someone else has made: publish refuses to replace them. #}

{# A table of ours has the description of its model as its comment. After the first publish there is
   month_builds, and the description may have changed. #}
{% macro refuse_foreign(tables) -%}
  {%- set published = adapter.get_relation(target.database, 'silver', 'month_builds') is not none -%}
  {%- for table in tables if table.exists -%}
    {%- if not (table.found.is_table and (published or comment_of(table.live) == table.node.description | trim)) -%}
      {{ exceptions.raise_compiler_error(table.live.schema ~ '.' ~ table.name ~ ' exists, and these flows did not create it; rename or drop it') }}
    {%- endif -%}
  {%- endfor -%}
{%- endmacro %}

{% macro comment_of(relation) -%} {{ return(adapter.dispatch('comment_of', 'nyc_taxi')(relation)) }} {%- endmacro %}
{% macro default__comment_of(relation) -%}
  {%- set comments = dict(run_query(existing_comments([{'live': relation}])).rows | map('list')) -%}
  {{ return(comments.get(relation.schema ~ '.' ~ relation.identifier)) }}
{%- endmacro %}
{% macro spark__comment_of(relation) -%}
  {%- for name, value, _ in run_query('describe table extended ' ~ relation).rows if name == 'Comment' -%}
    {{ return(value) }}
  {%- endfor -%}
{%- endmacro %}
{% macro bigquery__comment_of(relation) -%} {{ return(adapter.get_bq_table(relation).description) }} {%- endmacro %}
