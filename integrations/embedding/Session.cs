// A support session inside another program, in C#. Not compiled here: no C# compiler was at hand.
using System;
using System.Diagnostics;
using System.Text.Json;

var session = Process.Start(new ProcessStartInfo("etatuki", "session ecom")
{
    RedirectStandardInput = true,
    RedirectStandardOutput = true,
    UseShellExecute = false,
})!;
string? line;
while ((line = session.StandardOutput.ReadLine()) != null)
{
    var @event = JsonDocument.Parse(line).RootElement;
    switch (@event.GetProperty("type").GetString())
    {
        case "code":
            foreach (var field in @event.GetProperty("fields").EnumerateArray())
                Console.WriteLine($"{field.GetProperty("kind")}: {field.GetProperty("digits")}");
            break;
        case "ask":
            Console.WriteLine($"{@event.GetProperty("text")} (k = kyllä)");
            var answer = new { type = "answer", id = @event.GetProperty("id").GetInt32(), allow = Console.ReadLine() == "k" };
            session.StandardInput.WriteLine(JsonSerializer.Serialize(answer));
            session.StandardInput.Flush();
            break;
        default:
            if (@event.TryGetProperty("text", out var text)) Console.WriteLine(text);
            break;
    }
}
session.WaitForExit();
return session.ExitCode;
