{# PostgreSQL: for one transaction, lifts the timeouts of the role and the database, and limits the wait
   for locks. Version 17 added transaction_timeout. #}
{% macro time_limits() -%}
  {%- if target.type == 'postgres' -%}
    select set_config(name, case name when 'lock_timeout' then '{{ var('lock_timeout', '5min') }}' else '0' end, true)
    from pg_settings where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout')
  {%- endif -%}
{%- endmacro %}

{# Overrides dbt's macro. #}
{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
  {{ time_limits() }};
  {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}
