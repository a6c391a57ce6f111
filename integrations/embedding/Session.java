// A support session inside another program, in Java without a JSON library: java Session.java COMMAND...
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Session {
    // Enough for fields without escapes; a real program uses a JSON library.
    private static final Pattern DIGITS = Pattern.compile("\"digits\":\"([0-9 ]+)\"");
    private static final Pattern TEXT = Pattern.compile("\"text\":\"([^\"]*)\"");
    private static final Pattern ID = Pattern.compile("\"id\":([0-9]+)");

    public static void main(String[] arguments) throws Exception {
        List<String> command = arguments.length > 0 ? List.of(arguments) : List.of("etatuki", "session", "ecom");
        Process session = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        PrintStream input = new PrintStream(session.getOutputStream(), true, StandardCharsets.UTF_8);
        BufferedReader customer = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        BufferedReader events = session.inputReader(StandardCharsets.UTF_8);
        String question = "";
        for (String event = events.readLine(); event != null; event = events.readLine()) {
            Matcher digits = DIGITS.matcher(event);
            while (digits.find()) System.out.println(digits.group(1));
            boolean early = event.contains("\"name\":\"too-early\""); // no answer is accepted in its first second
            if (early) Thread.sleep(1000);
            // What was typed before a question is no answer to it.
            if (early || event.contains("\"type\":\"ask\"")) while (customer.ready()) customer.read();
            Matcher text = TEXT.matcher(event);
            if (early) System.out.println("Vastasit liian pian. Lue kysymys ja vastaa uudelleen");
            else if (text.find()) System.out.println(text.group(1));
            Matcher id = ID.matcher(event);
            if (event.contains("\"type\":\"ask\"") && id.find()) question = id.group(1);
            else if (!early) continue;
            boolean allow = "k".equals(customer.readLine());
            input.println("{\"type\":\"answer\",\"id\":" + question + ",\"allow\":" + allow + "}");
        }
        System.exit(session.waitFor());
    }
}
