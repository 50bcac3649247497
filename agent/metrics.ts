/** Figures of this agent in the Prometheus text format, version 0.0.4. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { SpareFigures } from "./sandbox/spares.ts";
import type { PoolFigures } from "./sandbox/warm_pool.ts";

const REGISTRY = new Registry();
const registers = [REGISTRY];
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const POOL = ["template", "vcpus", "memory_mb", "disk_mb"] as const;

/** How long a sandbox's start took, by the way it came to life: `claim`, `restore`, `boot`, `snapshot`. */
const startSeconds: Histogram<"way"> = new Histogram({
  name: "wrenn_sandbox_start_seconds",
  help: "Time from the order to a running sandbox",
  labelNames: ["way"],
  buckets: SECONDS,
  registers,
});
/** How long each step of a start took, as the answer's `Server-Timing` names it. */
const stepSeconds: Histogram<"way" | "step"> = new Histogram({
  name: "wrenn_sandbox_start_step_seconds",
  help: "Time of one step of a start",
  labelNames: ["way", "step"],
  buckets: [0.0005, 0.001, 0.0025, ...SECONDS],
  registers,
});
/** How long a warm machine took to make. */
export const refillSeconds: Histogram = new Histogram({
  name: "wrenn_pool_refill_seconds",
  help: "Time to make one warm machine",
  buckets: SECONDS,
  registers,
});
const hits = counter("wrenn_pool_hits_total", "Creates that found a warm machine");
const misses = counter("wrenn_pool_misses_total", "Creates that found none");
const ready = gauge("wrenn_pool_ready", "Warm machines that can be claimed");
const target = gauge("wrenn_pool_target", "Warm machines that the pool wants");
const sparesReady = plainGauge("wrenn_spares_ready", "VMM processes that wait for a machine");
const sparesTarget = plainGauge("wrenn_spares_target", "VMM processes that should wait");
const spareHits = plainCounter(
  "wrenn_spare_hits_total",
  "Machines brought back in one that waited",
);
const spareMisses = plainCounter("wrenn_spare_misses_total", "Machines that found none waiting");

/** Counts a start of so many milliseconds, and its steps. */
export function observeStart(
  way: string,
  ms: number,
  steps: Readonly<Record<string, number>>,
): void {
  startSeconds.observe({ way }, ms / 1000);
  for (const [step, took] of Object.entries(steps)) {
    stepSeconds.observe({ way, step }, took / 1000);
  }
}

/** Everything, with the pools as they are now. */
export async function metricsText(
  pools: readonly PoolFigures[],
  spares: SpareFigures,
): Promise<string> {
  for (const metric of [hits, misses, ready, target, spareHits, spareMisses]) metric.reset();
  sparesReady.set(spares.ready);
  sparesTarget.set(spares.target);
  spareHits.inc(spares.hits);
  spareMisses.inc(spares.misses);
  for (const pool of pools) {
    const labels = {
      template: pool.template,
      vcpus: pool.vcpus,
      memory_mb: pool.memoryMb,
      disk_mb: pool.diskMb,
    };
    hits.inc(labels, pool.hits);
    misses.inc(labels, pool.misses);
    ready.set(labels, pool.ready);
    target.set(labels, pool.target);
  }
  return await REGISTRY.metrics();
}

/** Media type of {@linkcode metricsText}. */
export const METRICS_TYPE: string = REGISTRY.contentType;

function counter(name: string, help: string): Counter<typeof POOL[number]> {
  return new Counter({ name, help, labelNames: POOL, registers });
}

function gauge(name: string, help: string): Gauge<typeof POOL[number]> {
  return new Gauge({ name, help, labelNames: POOL, registers });
}

function plainCounter(name: string, help: string): Counter {
  return new Counter({ name, help, registers });
}

function plainGauge(name: string, help: string): Gauge {
  return new Gauge({ name, help, registers });
}
