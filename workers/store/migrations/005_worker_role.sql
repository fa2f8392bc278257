-- Up Migration

-- As whom workers log in. The role has no password: on RDS it logs in with a token of IAM, which rds_iam lets it; the local
-- run gives it a password. Roles belong to the whole server, so it may be there already. Who migrates a server of their own
-- without the right to make roles gets none, and their workers log in as they do.
do $$
begin
  if not exists (select from pg_roles where rolname = 'sluice_worker')
     and (select rolcreaterole or rolsuper from pg_roles where rolname = current_user) then
    create role sluice_worker login nosuperuser nocreatedb nocreaterole noreplication;
  end if;
exception
  -- Somebody on the same server was faster.
  when duplicate_object or unique_violation then null;
end
$$;

do $$
begin
  if exists (select from pg_roles where rolname = 'sluice_worker') then
    if exists (select from pg_roles where rolname = 'rds_iam') then
      grant rds_iam to sluice_worker;
    end if;
    execute format('grant usage on schema %I to sluice_worker', current_schema());
    -- What everybody may do until it is taken back; the owner still may.
    execute format('revoke temporary on database %I from public', current_database());
  end if;
end
$$;

-- Lets workers do on a table what their statements do and nothing else. Every migration that makes a table says it with this:
--   select grant_to_workers('select, insert, update (stored_at)', 'inbox');
create function grant_to_workers(privileges text, table_name text) returns void
language plpgsql as $$
declare
  columns constant text := '( \([a-z_][a-z0-9_]*(, [a-z_][a-z0-9_]*)*\))?';
  privilege constant text := '((select|insert|update)' || columns || '|delete)';
begin
  if privileges is null or privileges !~ ('^' || privilege || '(, ' || privilege || ')*$') then
    raise exception 'grant_to_workers: the privileges are %; allowed: select, insert and update, each with columns in parentheses or without, and delete, with a comma and a blank between them',
      coalesce(quote_literal(privileges), 'null');
  end if;
  if not exists (select from pg_tables where schemaname = current_schema() and tablename = table_name) then
    raise exception 'grant_to_workers: the schema % has no table %', current_schema(), coalesce(quote_literal(table_name), 'null');
  end if;
  if exists (select from pg_roles where rolname = 'sluice_worker') then
    execute format('grant %s on table %I.%I to sluice_worker', privileges, current_schema(), table_name);
  end if;
end
$$;
revoke execute on function grant_to_workers(text, text) from public;

-- A worker looks whether the schema is new enough, and cannot change what is written of it.
select grant_to_workers('select', 'sluice_migrations');
-- Keys are written once and cleared away when they are old. To pass over rows that another is clearing away they are locked,
-- for which PostgreSQL wants the right to update one column at least.
select grant_to_workers('select, insert, delete, update (stored_at)', 'inbox');
select grant_to_workers('select, insert, delete, update (rejected_at)', 'rejections');
select grant_to_workers('select, insert, update, delete', 'fences');
select grant_to_workers('select, insert, update', 'probes');
-- What orders and ledger write is never changed by them, and they read of it where each ledger stands.
select grant_to_workers('insert', 'orders');
select grant_to_workers('insert', 'order_lines');
select grant_to_workers('select, insert, update', 'ledger_accounts');
select grant_to_workers('insert', 'ledger_entries');

-- Down Migration

-- The role stays: it belongs to the server, and another database of it may need it.
drop function grant_to_workers(text, text);
do $$
begin
  if exists (select from pg_roles where rolname = 'sluice_worker') then
    execute format('revoke all on all tables in schema %I from sluice_worker', current_schema());
    execute format('revoke usage on schema %I from sluice_worker', current_schema());
  end if;
end
$$;
