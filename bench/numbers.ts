/** Three digits that count, and no exponent. */
export function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

/** As people say counts and sizes: 64K, 256M where `binary`, else 10,000. */
export function magnitude(value: number, binary: boolean): string {
  if (!binary) return value.toLocaleString('en');
  if (value >= 1 << 20) return `${value / (1 << 20)}M`;
  return value >= 1024 ? `${value / 1024}K` : String(value);
}
