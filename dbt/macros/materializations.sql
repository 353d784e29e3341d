{# Overrides dbt-duckdb's: it builds a second table and swaps the two, but ..._next has no reader. #}
{% materialization table, adapter='duckdb', supported_languages=['sql'] -%}
  {%- call statement('main') -%}
    create or replace table {{ this }} as (
      {{ sql }}
    );
  {%- endcall -%}
  {%- do adapter.commit() -%}
  {{ return({'relations': [this]}) }}
{%- endmaterialization %}
