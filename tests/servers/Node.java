import java.util.List;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node on loopback: Node FOLDER PORT. */
public class Node {
  public static void main(String[] args) throws Exception {
    OpenSearchRunner runner = new OpenSearchRunner();
    runner.onBuild((number, settings) -> {
      settings.put("http.port", args[1]);
      settings.put("transport.port", "0");
      settings.put("network.host", "127.0.0.1");
      // the runner leaves "ingest" out, and pipelines need it
      settings.putList("node.roles", List.of("cluster_manager", "data", "ingest"));
      // does not wait three seconds for other nodes
      settings.put("discovery.type", "single-node");
      // a nearly full disk must not make indices read-only
      settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
    });
    runner.build(OpenSearchRunner.newConfigs().basePath(args[0]).numOfNode(1).clusterName("bamboo-logmetrics").useLogger());
    Thread.currentThread().join();
  }
}
