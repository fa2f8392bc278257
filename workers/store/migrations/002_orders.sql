-- Up Migration

create table orders (
  order_id    text        primary key,
  customer_id text,
  country     text        not null,
  placed_at   timestamptz not null,
  kind        text        not null check (kind in ('sale', 'cancellation')),
  total       numeric     not null
);

create table order_lines (
  order_id    text    not null references orders,
  line_no     integer not null,
  stock_code  text    not null,
  description text,
  quantity    integer not null,
  unit_price  numeric not null,
  primary key (order_id, line_no)
);

-- Down Migration

drop table order_lines;
drop table orders;
