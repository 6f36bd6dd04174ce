/**
 * Numbers as people read them: the same format as on the hub's page, the command line and in representations. Prices
 * round up and what is left rounds down.
 */

const CREDIT = 1_000_000;
const THIN = '\u202f';

function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

function twoDigits(hundredths: number): string {
  const whole = Math.trunc(Math.abs(hundredths) / 100);
  const rest = String(Math.abs(hundredths) % 100).padStart(2, '0');
  return `${hundredths < 0 ? '-' : ''}${grouped(String(whole))}.${rest}`;
}

/** `free`, `<0.01`, `6.10`; rounded up; `–` where unknown. */
export function price(micro: number | null | undefined): string {
  if (micro === null || micro === undefined) {
    return '–';
  }
  if (micro === 0) {
    return 'free';
  }
  return micro > 0 && micro < CREDIT / 100
    ? '<0.01'
    : twoDigits(Math.ceil(micro / (CREDIT / 100)));
}

/** What is left: `12.40`, rounded down; `–` where unknown. */
export function left(micro: number | null | undefined): string {
  return micro === null || micro === undefined
    ? '–'
    : twoDigits(Math.floor(micro / (CREDIT / 100)));
}

/** A limit as one says it: `50` rather than `50.00`. */
export function limit(micro: number): string {
  return micro % CREDIT === 0 ? grouped(String(micro / CREDIT)) : left(micro);
}

/** `10 000` with a narrow no-break space. */
export function count(value: number): string {
  return grouped(String(value));
}

/** `1 run`, `27 runs`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** `<1 s`, `45 s`, `3 min`, `1 h 20 min`, `2 d 3 h`; `–` where unknown. */
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (value < 1) {
    return '<1 s';
  }
  if (Math.round(value) < 60) {
    return `${Math.round(value)} s`;
  }
  const minutes = Math.round(value / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.trunc(minutes / 60);
  if (hours < 24) {
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }
  const days = Math.trunc(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

// British English names zones (CEST) where American English counts hours (GMT+2).
function part(when: Date, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-GB', options).format(when);
}

/** `14:32`. */
export function clock(iso: string | Date): string {
  const when = new Date(iso);
  return part(when, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}

/** `14:32 CEST`, or `Tue 12 May 14:32 CEST` on another day. */
export function moment(iso: string | Date, now = new Date()): string {
  const when = new Date(iso);
  const zone = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' })
    .formatToParts(when)
    .find(one => one.type === 'timeZoneName')?.value;
  const time = `${clock(when)} ${zone ?? ''}`.trim();
  return when.toDateString() === now.toDateString()
    ? time
    : `${part(when, { weekday: 'short' })} ${day(when)} ${time}`;
}

/** `1 Jun`. */
export function day(iso: string | Date): string {
  const when = new Date(iso);
  return `${when.getDate()} ${part(when, { month: 'short' }).slice(0, 3)}`;
}

/** `1 June`. */
export function longDay(iso: string | Date): string {
  const when = new Date(iso);
  return `${when.getDate()} ${part(when, { month: 'long' })}`;
}
