/** A retail file with everything in it that real ones have, and more of it; the same bytes every time. */

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';

const DESCRIPTIONS = [
  'PLAIN',
  '"WITH, COMMA"',
  '"6"" SIGN"',
  '',
  'FRÜHSTÜCK ☕',
  'GIFT 🎁 BOX',
  '"TWO\nLINES"',
  "O'BRIEN'S \\ CUP",
];

/** `invoices` invoices whose lines are dealt in rounds, so that each one's are far apart, for one customer in ten. */
export function messyFile(invoices: number): string {
  const lines: string[] = [HEADER];
  for (let round = 0; round < 3; round += 1) {
    for (let invoice = 0; invoice < invoices; invoice += 1) {
      // Later rounds leave some invoices out, so that numbers of lines differ and orders complete out of turn.
      if (round > 0 && invoice % (round + 1) !== 0) continue;
      lines.push(messyLine(invoice, round));
    }
  }
  return `${lines.join('\r\n')}\r\n`;
}

function messyLine(invoice: number, round: number): string {
  const cancelled = invoice % 7 === 3;
  const id = `${cancelled ? 'C' : ''}${600_000 + invoice}`;
  const quantity = (cancelled ? -1 : 1) * ((invoice % 24) + 1);
  const minute = String(invoice % 60).padStart(2, '0');
  const customer = invoice % 4 === 1 ? '' : String(12_000 + (invoice % 10));
  // The second line of a few has a negative price; two of them share a customer.
  const price =
    invoice % 100 === 20 && round === 1 ? '-1.5' : `${invoice % 13}.${String((invoice * 37) % 1000).padStart(3, '0')}`;
  const text = DESCRIPTIONS[(invoice + round) % DESCRIPTIONS.length];
  return `${id},SKU${round},${text},${quantity},2011-03-27 0${round}:${minute}:00,${price},${customer},United Kingdom`;
}
