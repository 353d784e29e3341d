{# Tables in silver and gold that someone else has made: publish refuses to replace them. #}

{# Tables of ours have comments. After the first publish there is month_builds, and a new model may have
   no description. #}
{% macro refuse_foreign(tables) -%}
  {%- set published = adapter.get_relation(target.database, 'silver', 'month_builds') is not none -%}
  {%- for table in tables if table.exists -%}
    {%- if not (table.found.is_table and (published or has_comment(table.live))) -%}
      {{ exceptions.raise_compiler_error(table.live.schema ~ '.' ~ table.name ~ ' exists, and these flows did not create it; rename or drop it') }}
    {%- endif -%}
  {%- endfor -%}
{%- endmacro %}

{% macro has_comment(relation) -%} {{ return(adapter.dispatch('has_comment', 'nyc_taxi')(relation)) }} {%- endmacro %}
{% macro default__has_comment(relation) -%}
  {{ return(relation.schema ~ '.' ~ relation.identifier in run_query(existing_comments([{'live': relation}])).columns[0].values()) }}
{%- endmacro %}
{% macro spark__has_comment(relation) -%}
  {{ return('Comment' in run_query('describe table extended ' ~ relation).columns[0].values()) }}
{%- endmacro %}
{% macro bigquery__has_comment(relation) -%}
  {{ return(adapter.get_bq_table(relation).description) }}
{%- endmacro %}
