-- Up Migration

create table sample_work_entries (
  id       text   primary key,
  entry_no bigint not null generated always as identity,
  note     text   not null
);

-- Down Migration

drop table sample_work_entries;
