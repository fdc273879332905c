/** What is assumed where the system does not say. */
const DEFAULT = 1_024;

interface Report {
  readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
}

/** How many descriptors this process may have open. */
export function descriptorLimit(): number {
  // Network interfaces are left out: listing them can take long (Node documentation of process.report).
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as Report;
  const soft = userLimits?.open_files?.soft;
  if (soft === 'unlimited') return 1 << 20;
  return typeof soft === 'number' ? soft : DEFAULT;
}
