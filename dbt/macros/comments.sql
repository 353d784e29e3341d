{# Descriptions of models and columns become comments of the live tables. #}

{# Name -> {name, description}, for the columns of a table that have a description. Columns made from
   rules.sql have the rule's. #}
{% macro descriptions(node, columns) -%}
  {%- set found, flags = {}, rules('flag') -%}
  {%- for name in columns -%}
    {%- if name in node.columns and node.columns[name].description -%}
      {%- do found.update({name: {'name': name, 'description': node.columns[name].description | trim}}) -%}
    {%- endif -%}
    {%- for rule in flags -%}
      {%- if name == rule.name -%}
        {%- do found.update({name: {'name': name, 'description': rule.why}}) -%}
      {%- elif name == rule.name ~ '_rows' -%}
        {%- do found.update({name: {'name': name, 'description': 'Rows of silver with ' ~ rule.name ~ '.'}}) -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endfor -%}
  {{ return(found) }}
{%- endmacro %}

{# COMMENT statements for what differs from the comments that are there; `made` names new tables. #}
{% macro comment_statements(tables, made=[]) -%}
  {%- set there = {} -%}
  {%- for key, comment in run_query(existing_comments(tables)).rows -%} 
    {%- if key.split('.')[1] not in made -%} {%- do there.update({key: comment}) -%} {%- endif -%}
  {%- endfor -%}
  {%- for table in tables -%}
    {%- set name = table.live.schema ~ '.' ~ table.name -%}
    {%- set about = table.node.description | trim -%}
    {%- if there.get(name) != about %} comment on table {{ table.live }} is {{ quoted_text(about) }}; {% endif -%}
    {%- for column, found in descriptions(table.node, table.columns).items() if there.get(name ~ '.' ~ column) != found.description %}
    comment on column {{ table.live }}.{{ column }} is {{ quoted_text(found.description) }};
    {%- endfor -%}
  {%- endfor -%}
{%- endmacro %}

{# Rows: schema.table or schema.table.column, comment. #}
{% macro existing_comments(tables) -%} {{ return(adapter.dispatch('existing_comments', 'nyc_taxi')(tables)) }} {%- endmacro %}
{% macro default__existing_comments(tables) -%}
  select schema_name || '.' || table_name, comment from duckdb_tables() where comment is not null
  union all
  select schema_name || '.' || table_name || '.' || column_name, comment from duckdb_columns() where comment is not null
{%- endmacro %}
{% macro postgres__existing_comments(tables) -%}
  select n.nspname || '.' || c.relname || coalesce('.' || a.attname, ''), d.description
  from pg_description as d
  join pg_class as c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
  join pg_namespace as n on n.oid = c.relnamespace
  left join pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
  where n.nspname in ({% for schema in tables | map(attribute='live') | map(attribute='schema') | unique %}'{{ schema }}'{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# The same for Spark, which changes the columns of a table in one commit. #}
{% macro spark_comments(table) -%}
  {%- set there, changes, sql = {}, [], [] -%}
  {%- for name, value, comment in run_query('describe table extended ' ~ table.live).rows -%}
    {%- do there.update({name: value if name == 'Comment' else comment}) -%}
  {%- endfor -%}
  {%- for name, found in descriptions(table.node, table.columns).items() if there.get(name) != found.description -%}
    {%- do changes.append(name ~ ' comment ' ~ quoted_text(found.description)) -%}
  {%- endfor -%}
  {%- if there.get('Comment') != table.node.description | trim -%}
    {%- do sql.append('comment on table ' ~ table.live ~ ' is ' ~ quoted_text(table.node.description | trim)) -%}
  {%- endif -%}
  {%- if changes -%} {%- do sql.append('alter table ' ~ table.live ~ ' alter column ' ~ changes | join(', ')) -%} {%- endif -%}
  {{ return(sql) }}
{%- endmacro %}
