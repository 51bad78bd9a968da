// Exports spans with the Java SDK; usage: java Client JOB, as tests/exporters/README.md describes it.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.io.File;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

public final class Client {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws Exception {
    JsonNode job = JSON.readTree(arguments[0]);
    JsonNode trace = JSON.readTree(new File(job.get("trace").asText()));
    List<List<List<String>>> sent = new ArrayList<>();
    for (JsonNode how : job.get("exports")) {
      sent.add(exported(how, trace, job.get("traces").asInt()));
    }
    System.out.println(JSON.writeValueAsString(sent));
    System.exit(0);
  }

  private static List<List<String>> exported(JsonNode how, JsonNode trace, int times) {
    Resource resource = Resource.getDefault().merge(Resource.create(attributes(trace.get("resource"))));
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(resource)
            .addSpanProcessor(BatchSpanProcessor.builder(exporter(how)).build())
            .build();
    JsonNode scope = trace.get("scope");
    Tracer tracer = provider.tracerBuilder(scope.get("name").asText())
        .setInstrumentationVersion(scope.get("version").asText()).build();
    List<List<String>> sent = new ArrayList<>();
    for (int number = 0; number < times; number++) {
      sent.add(send(tracer, trace.get("spans")));
    }
    provider.forceFlush().join(30, TimeUnit.SECONDS);
    provider.shutdown().join(10, TimeUnit.SECONDS);
    return sent;
  }

  private static SpanExporter exporter(JsonNode how) {
    String url = "http://" + how.get("endpoint").asText();
    String compression = how.get("compression").asText();
    String key = how.get("key").asText();
    Map<String, String> headers = key.isEmpty() ? Map.of() : Map.of("authorization", "Bearer " + key);
    if (how.get("protocol").asText().equals("grpc")) {
      var grpc = OtlpGrpcSpanExporter.builder().setEndpoint(url).setCompression(compression);
      return grpc.setHeaders(() -> headers).build();
    }
    var http = OtlpHttpSpanExporter.builder().setEndpoint(url + "/v1/traces").setCompression(compression);
    return http.setHeaders(() -> headers).build();
  }

  private static List<String> send(Tracer tracer, JsonNode described) {
    List<Span> spans = new ArrayList<>();
    List<String> ids = new ArrayList<>();
    for (JsonNode one : described) {
      Span span = begun(tracer, one, spans);
      span.setAllAttributes(attributes(one.get("attributes")));
      for (JsonNode event : one.get("events")) {
        Attributes of = attributes(event.get("attributes"));
        span.addEvent(event.get("name").asText(), of, event.get("at").asLong(), TimeUnit.NANOSECONDS);
      }
      span.setStatus(StatusCode.valueOf(one.get("status").asText()), one.path("message").asText(""));
      span.end(one.get("end").asLong(), TimeUnit.NANOSECONDS);
      spans.add(span);
      if (ids.isEmpty()) {
        ids.add(span.getSpanContext().getTraceId());
      }
      ids.add(span.getSpanContext().getSpanId());
    }
    return ids;
  }

  private static Span begun(Tracer tracer, JsonNode one, List<Span> spans) {
    SpanBuilder builder = tracer.spanBuilder(one.get("name").asText())
        .setSpanKind(SpanKind.valueOf(one.get("kind").asText()))
        .setStartTimestamp(one.get("start").asLong(), TimeUnit.NANOSECONDS)
        .setNoParent();
    int parent = one.get("parent").asInt();
    if (parent >= 0) {
      builder.setParent(Context.root().with(spans.get(parent)));
    }
    for (JsonNode link : one.get("links")) {
      SpanContext to = SpanContext.createFromRemoteParent(
          link.get("trace").asText(), link.get("span").asText(), TraceFlags.getSampled(), TraceState.getDefault());
      builder.addLink(to, attributes(link.get("attributes")));
    }
    return builder.startSpan();
  }

  private static Attributes attributes(JsonNode entries) {
    AttributesBuilder built = Attributes.builder();
    for (JsonNode one : entries) {
      put(built, one.get("key").asText(), one.get("type").asText(), one.get("value"));
    }
    return built.build();
  }

  private static void put(AttributesBuilder built, String key, String type, JsonNode value) {
    switch (type) {
      case "string" -> built.put(key, value.asText());
      case "bool" -> built.put(key, value.asBoolean());
      case "int", "int64" -> built.put(key, value.asLong());
      case "double" -> built.put(key, value.asDouble());
      case "strings" -> built.put(AttributeKey.stringArrayKey(key), list(value, JsonNode::asText));
      case "bools" -> built.put(AttributeKey.booleanArrayKey(key), list(value, JsonNode::asBoolean));
      case "ints" -> built.put(AttributeKey.longArrayKey(key), list(value, JsonNode::asLong));
      case "doubles" -> built.put(AttributeKey.doubleArrayKey(key), list(value, JsonNode::asDouble));
      case "bytes" -> built.put(AttributeKey.valueKey(key), Value.of(Base64.getDecoder().decode(value.asText())));
      case "map" -> built.put(AttributeKey.valueKey(key), Value.of(list(value, Client::entry).toArray(new KeyValue[0])));
      default -> throw new IllegalArgumentException(type);
    }
  }

  private static KeyValue entry(JsonNode one) {
    JsonNode value = one.get("value");
    Value<?> of = one.get("type").asText().equals("int") ? Value.of(value.asLong()) : Value.of(value.asText());
    return KeyValue.of(one.get("key").asText(), of);
  }

  private static <T> List<T> list(JsonNode values, Function<JsonNode, T> read) {
    List<T> found = new ArrayList<>();
    values.forEach(value -> found.add(read.apply(value)));
    return found;
  }
}
