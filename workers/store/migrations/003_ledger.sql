-- Up Migration

-- Where each customer's ledger stands. Its row is locked while entries are added, so that two workers
-- cannot number or sum the same customer's entries at once.
create table ledger_accounts (
  customer_id text    primary key,
  entry_count bigint  not null,
  balance     numeric not null
);

create table ledger_entries (
  customer_id   text        not null references ledger_accounts,
  entry_no      bigint      not null,
  order_id      text        not null unique,
  file_position integer     not null,
  amount        numeric     not null,
  balance       numeric     not null,
  placed_at     timestamptz not null,
  primary key (customer_id, entry_no)
);

-- Down Migration

drop table ledger_entries;
drop table ledger_accounts;
