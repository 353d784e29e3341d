{% macro publish() -%}
  {%- set statements = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[-2] in var('parts') -%}
    {%- set live, next = node.config.schema ~ '.' ~ node.name, node.schema ~ '.' ~ node.name -%}
    {%- do statements.append('create schema if not exists ' ~ node.config.schema) -%}
    {%- do statements.append('create table if not exists ' ~ live ~ ' as select * from ' ~ next ~ ' where false') -%}
    {%- do statements.append('delete from ' ~ live ~ ' where ' ~ (in_months() if node.fqn[-2] != 'dims' else 'true')) -%}
    {%- do statements.append('insert into ' ~ live ~ ' select * from ' ~ next) -%}
  {%- endfor -%}
  {%- do run_query('commit; begin; ' ~ statements | join('; ') ~ '; commit' if target.type == 'postgres' else 'begin; ' ~ statements | join('; ') ~ '; commit') -%}
{%- endmacro %}
