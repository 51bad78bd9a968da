// Exports one agent span over OTLP/HTTP; usage: node client.mjs json|proto URL
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";

const [encoding, url] = process.argv.slice(2);
const exporter = encoding === "json" ? new JsonExporter({ url }) : new ProtoExporter({ url });
const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
const span = provider.getTracer("live-js").startSpan("invoke_agent live");
span.setAttribute("gen_ai.operation.name", "invoke_agent");
span.setAttribute("gen_ai.usage.input_tokens", Number.MAX_SAFE_INTEGER);
span.end();
await provider.forceFlush();
await provider.shutdown();
