{# dbt run-operation publish: makes what was built and tested aside visible, in one transaction.

   A new table is renamed, not copied. In a live one, DELETE and INSERT replace the months asked for,
   or all rows if it has no trip_month; it keeps its grants, and readers see all of it or none. #}
{% macro publish() -%}
  {%- if time_limits() -%} {%- do run_query(time_limits()) -%} {%- endif -%}
  {%- set tables = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and part(node) in var('parts') -%}
    {%- do tables.append(next_and_live(node)) -%}
  {%- endfor -%}
  {%- do refuse_foreign(tables) -%}
  {%- do publish_tables(tables) -%}
  {%- do log('Published ' ~ (tables | map(attribute='name') | sort | join(', ')), info=true) -%}
{%- endmacro %}

{# Both tables of a model, and how their columns differ: name -> type. #}
{% macro next_and_live(node) -%}
  {%- set next = adapter.get_relation(target.database, node.schema, node.alias) -%}
  {%- if next is none -%}
    {{ exceptions.raise_compiler_error(node.schema ~ '.' ~ node.alias ~ ' does not exist; run dbt build first') }}
  {%- endif -%}
  {%- set live = next.replace_path(identifier=node.name) -%}
  {%- set found = adapter.get_relation(target.database, node.schema, node.name) -%}
  {%- set exists = found is not none -%}
  {%- set new = column_types(next) -%}
  {%- set old = column_types(live) if exists else new -%}
  {%- set added, changed, dropped = {}, {}, {} -%}
  {%- for name, type in new.items() -%}
    {%- if name not in old -%} {%- do added.update({name: type}) -%}
    {%- elif old[name] != type -%} {%- do changed.update({name: type}) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for name, type in old.items() if name not in new -%} {%- do dropped.update({name: type}) -%} {%- endfor -%}
  {{ return({
    'name': node.name, 'node': node, 'next': next, 'live': live, 'found': found, 'exists': exists, 'columns': new,
    'added': added, 'changed': changed, 'dropped': dropped, 'by_month': 'trip_month' in new,
    'where': in_months() if 'trip_month' in new else 'true',
  }) }}
{%- endmacro %}

{% macro column_types(relation) -%} {{ return(adapter.dispatch('column_types', 'nyc_taxi')(relation)) }} {%- endmacro %}
{% macro default__column_types(relation) -%}
  {%- set types = {} -%}
  {%- for column in adapter.get_columns_in_relation(relation) -%}
    {%- do types.update({column.name: column.data_type}) -%}
  {%- endfor -%}
  {{ return(types) }}
{%- endmacro %}
{% macro duckdb__column_types(relation) -%}
  {{ return(dict(run_query("select name, type from pragma_table_info('" ~ relation.include(database=false) ~ "')").rows | map('list'))) }}
{%- endmacro %}
{% macro postgres__column_types(relation) -%}
  {{ return(dict(run_query("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '" ~ relation ~ "'::regclass and attnum > 0 and not attisdropped order by attnum").rows | map('list'))) }}
{%- endmacro %}

{# The statements that replace the rows. #}
{% macro replace_rows(table) -%}
  {%- set names = table.columns.keys() | join(', ') -%}
  delete from {{ table.live }} where {{ table.where }};
  insert into {{ table.live }} ({{ names }}) select {{ names }} from {{ table.next }} where {{ table.where }};
{%- endmacro %}

{# A month that was loaded since it was built is in the new table too, but not asked for. #}
{% macro rename_next(table) -%}
  alter table {{ table.next }} rename to {{ table.name }};
  {% if table.where != 'true' %} delete from {{ table.live }} where not ({{ table.where }}); {% endif -%}
{%- endmacro %}

{% macro alter_columns(table) -%}
  {%- for name, type in table.added.items() %} alter table {{ table.live }} add column {{ name }} {{ type }}; {% endfor -%}
  {%- for name, type in table.changed.items() %} alter table {{ table.live }} alter column {{ name }} type {{ type }}; {% endfor -%}
{%- endmacro %}

{% macro publish_tables(tables) -%} {{ return(adapter.dispatch('publish_tables', 'nyc_taxi')(tables)) }} {%- endmacro %}

{# DuckDB has no grants, and no reader while this runs: a table that is replaced whole is dropped. #}
{% macro default__publish_tables(tables) -%}
  {%- set made = [] -%}
  {%- call statement('publish', auto_begin=true) -%}
    {% for table in tables -%}
    {% if not table.exists or table.where == 'true' -%}
    {%- do made.append(table.name) -%}
    drop table if exists {{ table.live }};
    {{ rename_next(table) }}
    {% else -%}
    {{ alter_columns(table) }}
    {{ replace_rows(table) }}
    {% for name in table.dropped %} alter table {{ table.live }} drop column {{ name }}; {% endfor %}
    drop table {{ table.next }};
    {% endif -%}
    {% endfor -%}
    {{ comment_statements(tables, made) }}
  {%- endcall -%}
  {%- do adapter.commit() -%}
{%- endmacro %}

{# The transaction takes no lock that a reader waits for. Columns are added before it and dropped after
   it. #}
{% macro postgres__publish_tables(tables) -%}
  {%- for table in tables if table.added or table.changed -%}
    {%- do run_query(time_limits() ~ '; ' ~ between_readers(alter_columns(table)) ~ ' commit') -%}
  {%- endfor -%}
  {%- set sql -%}
    commit; begin; {{ time_limits() }};
    {% for table in tables if table.exists %} lock table {{ table.live }} in share row exclusive mode; {% endfor %}
    {% for table in tables -%}
    {% if not table.exists -%}
    {{ rename_next(table) }}
    {% if table.by_month %} create index on {{ table.live }} using brin (trip_month); {% endif -%}
    {% else -%}
    {{ replace_rows(table) }}
    drop table {{ table.next }};
    {% endif -%}
    {% endfor -%}
    {{ comment_statements(tables) }}
    commit;
  {%- endset -%}
  {%- do run_query(sql) -%}
  {%- for table in tables -%}
    {%- for name in table.dropped -%}
      {# A view of a user may need the column: it then stays, with nulls. #}
      {%- do run_query("set local lock_timeout = '10s'; do $$ begin alter table " ~ table.live ~ ' drop column ' ~ name
        ~ "; exception when others then raise warning '%', sqlerrm; end $$; commit") -%}
    {%- endfor -%}
  {%- endfor -%}
{%- endmacro %}

{# A reader queues behind whoever waits to alter a table, so each attempt waits for a second. #}
{% macro between_readers(sql) -%}
  do $$ declare wait interval := current_setting('lock_timeout');
  begin
    loop
      begin
        set local lock_timeout = '1s';
        {{ sql }}
        return;
      exception when lock_not_available then
        if clock_timestamp() > now() + wait then raise; end if;
      end;
      perform pg_sleep(1);
    end loop;
  end $$;
{%- endmacro %}

{# BigQuery's transactions take DML alone: tables are created and altered outside, where it harms
   no reader, because new tables are empty and new columns null. A concurrent transaction on one of
   the tables aborts this one: https://cloud.google.com/bigquery/docs/transactions #}
{% macro bigquery__publish_tables(tables) -%}
  {%- for table in tables -%}
    {%- if not table.exists -%}
      {%- do run_query('create table if not exists ' ~ table.live ~ (' partition by date_trunc(trip_month, month)' if table.by_month else '')
        ~ ' as select * from ' ~ table.next ~ ' where false') -%}
    {%- endif -%}
    {%- for name, type in table.added.items() -%}
      {%- do run_query('alter table ' ~ table.live ~ ' add column if not exists ' ~ name ~ ' ' ~ type) -%}
    {%- endfor -%}
    {%- for name, type in table.changed.items() -%}
      {%- do run_query('alter table ' ~ table.live ~ ' alter column ' ~ name ~ ' set data type ' ~ type) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- set sql -%}
    begin transaction;
    {% for table in tables %} {{ replace_rows(table) }} {% endfor %}
    commit transaction;
  {%- endset -%}
  {%- do run_query(sql) -%}
  {%- for table in tables -%}
    {%- for name in table.dropped -%}
      {%- do run_query('alter table ' ~ table.live ~ ' drop column if exists ' ~ name) -%}
    {%- endfor -%}
    {%- if not table.exists or table.added -%}
      {%- set columns = descriptions(table.node, table.columns) -%}
      {%- do adapter.update_table_description(table.live.database, table.live.schema, table.live.identifier, table.node.description) -%}
      {%- do adapter.update_columns(table.live, columns) -%}
    {%- endif -%}
    {%- do adapter.drop_relation(table.next) -%}
  {%- endfor -%}
{%- endmacro %}

{# Iceberg commits table by table. month_builds is last: until then its months are stale, so the next
   build completes one that was killed. A table that is replaced whole keeps its snapshots. #}
{% macro spark__publish_tables(tables) -%}
  {%- set builds = tables | selectattr('name', 'equalto', 'month_builds') | list -%}
  {%- set others = tables | rejectattr('name', 'equalto', 'month_builds') | list -%}
  {%- for table in others + builds -%}
    {%- if not table.exists or table.where == 'true' -%}
      {%- do run_query('create or replace table ' ~ table.live ~ ' using iceberg' ~ (' partitioned by (trip_month)' if table.by_month else '')
        ~ ' as select * from ' ~ table.next ~ ' where ' ~ table.where) -%}
    {%- else -%}
      {%- for sql in alter_statements(table) -%} {%- do run_query(sql) -%} {%- endfor -%}
      {%- do run_query('insert into ' ~ table.live ~ ' replace where ' ~ table.where ~ ' select ' ~ column_types(table.live).keys() | join(', ')
        ~ ' from ' ~ table.next ~ ' where ' ~ table.where) -%}
    {%- endif -%}
    {%- for sql in spark_comments(table) -%} {%- do run_query(sql) -%} {%- endfor -%}
  {%- endfor -%}
  {%- for table in builds + others -%} {%- do adapter.drop_relation(table.next) -%} {%- endfor -%}
{%- endmacro %}

{% macro alter_statements(table) -%}
  {%- set sql = [] -%}
  {%- for name in table.dropped -%} {%- do sql.append('alter table ' ~ table.live ~ ' drop column ' ~ name) -%} {%- endfor -%}
  {%- for name, type in table.added.items() -%} {%- do sql.append('alter table ' ~ table.live ~ ' add column ' ~ name ~ ' ' ~ type) -%} {%- endfor -%}
  {%- for name, type in table.changed.items() -%} {%- do sql.append('alter table ' ~ table.live ~ ' alter column ' ~ name ~ ' type ' ~ type) -%} {%- endfor -%}
  {{ return(sql) }}
{%- endmacro %}
