// Exports spans with the JavaScript SDK; usage: node client.mjs JOB, as tests/exporters/README.md describes it.
import { readFileSync } from "node:fs";
import { Metadata } from "@grpc/grpc-js";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const READ = {
  bytes: (value) => new Uint8Array(Buffer.from(value, "base64")),
  map: (value) => attributes(value),
};

function attributes(entries) {
  const read = (one) => (READ[one.type] ?? ((value) => value))(one.value);
  return Object.fromEntries(entries.filter((one) => one.type !== "int64").map((one) => [one.key, read(one)]));
}

function time(nanoseconds) {
  return [Number(nanoseconds.slice(0, -9)), Number(nanoseconds.slice(-9))];
}

function exporter({ protocol, compression, endpoint, key }) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  if (protocol === "grpc") {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new GrpcExporter({ url: `http://${endpoint}`, compression, metadata });
  }
  const url = `http://${endpoint}/v1/traces`;
  const settings = { url, compression, headers };
  return protocol === "http/json" ? new JsonExporter(settings) : new ProtoExporter(settings);
}

function send(tracer, described) {
  const spans = [];
  for (const one of described) {
    const parent = one.parent >= 0 ? trace.setSpan(ROOT_CONTEXT, spans[one.parent]) : ROOT_CONTEXT;
    const links = one.links.map((link) => ({
      context: { traceId: link.trace, spanId: link.span, traceFlags: TraceFlags.SAMPLED, isRemote: true },
      attributes: attributes(link.attributes),
    }));
    const span = tracer.startSpan(one.name, { kind: SpanKind[one.kind], links, startTime: time(one.start) }, parent);
    span.setAttributes(attributes(one.attributes));
    for (const event of one.events) span.addEvent(event.name, attributes(event.attributes), time(event.at));
    span.setStatus({ code: SpanStatusCode[one.status], message: one.message });
    span.end(time(one.end));
    spans.push(span);
  }
  return [spans[0].spanContext().traceId, ...spans.map((span) => span.spanContext().spanId)];
}

async function exported(how, description, times) {
  const resource = defaultResource().merge(resourceFromAttributes(attributes(description.resource)));
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter(how))] });
  const tracer = provider.getTracer(description.scope.name, description.scope.version);
  const sent = Array.from({ length: times }, () => send(tracer, description.spans));
  await provider.forceFlush();
  await provider.shutdown();
  return sent;
}

const job = JSON.parse(process.argv[2]);
const description = JSON.parse(readFileSync(job.trace, "utf8"));
const sent = [];
for (const how of job.exports) sent.push(await exported(how, description, job.traces));
console.log(JSON.stringify(sent));
